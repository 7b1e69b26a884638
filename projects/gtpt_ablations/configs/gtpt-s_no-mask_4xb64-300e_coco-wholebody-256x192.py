# Groups without masks: every group sees the same image tokens (Table 3).
_base_ = ('../../../configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
          'gtpt-s_4xb64-300e_coco-wholebody-256x192.py')

custom_imports = dict(
    imports=['gtpt_mm', 'projects.gtpt_ablations.models'],
    allow_failed_imports=False)
model = dict(backbone=dict(type='MaskFreeGTPT'))
