# No experts: only the heads are of a dataset.
_base_ = './vitpose-plus-b_ps-4_8xb128-210e_coco-aic-ap10k-256x192.py'

model = dict(backbone=dict(experts=None))
