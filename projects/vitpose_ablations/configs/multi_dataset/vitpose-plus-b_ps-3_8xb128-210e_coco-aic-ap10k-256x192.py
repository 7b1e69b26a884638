# A third of the channels from an expert.
_base_ = './vitpose-plus-b_ps-4_8xb128-210e_coco-aic-ap10k-256x192.py'

model = dict(backbone=dict(experts=dict(part_features=256)))
