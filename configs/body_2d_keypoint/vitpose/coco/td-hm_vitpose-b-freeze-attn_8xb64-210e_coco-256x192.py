# The attention stays as it was pretrained: give load_from.
_base_ = './td-hm_vitpose-b_8xb64-210e_coco-256x192.py'

custom_hooks = [dict(type='FreezeHook', frozen=['backbone.attn'])]
