# Pruning without the global-perceived loss: only the pruned pass is trained
# (Table 6).
_base_ = ('../../../configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
          'gtpt-s_4xb64-300e_coco-wholebody-256x192.py')

model = dict(backbone=dict(with_unpruned=False))
