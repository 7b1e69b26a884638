# The feed-forward networks stay as they were pretrained: give load_from.
_base_ = './td-hm_vitpose-b_8xb64-210e_coco-256x192.py'

model = dict(backbone=dict(freeze_ffn=True))
