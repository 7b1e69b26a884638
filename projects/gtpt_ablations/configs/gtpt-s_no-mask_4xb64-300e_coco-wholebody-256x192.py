# Groups without masks: every group sees the same image tokens (Table 3).
_base_ = ('../../../configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
          'gtpt-s_4xb64-300e_coco-wholebody-256x192.py')

model = dict(backbone=dict(with_group_mask=False))
