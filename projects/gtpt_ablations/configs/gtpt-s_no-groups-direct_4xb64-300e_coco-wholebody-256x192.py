# Neither groups and masks nor the global-perceived loss (Table 6).
_base_ = './gtpt-s_no-groups_4xb64-300e_coco-wholebody-256x192.py'

model = dict(backbone=dict(with_unpruned=False))
