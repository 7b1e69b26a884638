# A feed-forward network of each dataset, none shared.
_base_ = './vitpose-plus-b_ps-4_8xb128-210e_coco-aic-ap10k-256x192.py'

model = dict(
    backbone=dict(
        experts=dict(_delete_=True, num_experts=3, kind='independent')))
