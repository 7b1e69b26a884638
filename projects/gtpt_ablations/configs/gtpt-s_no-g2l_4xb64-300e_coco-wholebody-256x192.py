# The unpruned pass is trained, but does not teach the pruned one.
_base_ = ('../../../configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
          'gtpt-s_4xb64-300e_coco-wholebody-256x192.py')

model = dict(head=dict(loss=dict(g2l_weight=0.0)))
