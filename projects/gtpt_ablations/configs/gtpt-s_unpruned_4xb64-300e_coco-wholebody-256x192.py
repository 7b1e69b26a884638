# No pruning at all (Tables 6 and 8). The paper's count is that of a model
# whose dense keypoints are added to the image tokens; the released code drops
# image tokens for them even so.
_base_ = ('../../../configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
          'gtpt-s_4xb64-300e_coco-wholebody-256x192.py')

custom_imports = dict(
    imports=['gtpt_mm', 'projects.gtpt_ablations.models'],
    allow_failed_imports=False)
model = dict(
    backbone=dict(
        type='AddedDenseGTPT',
        keep_rates=(1.0, 1.0, 1.0, 1.0),
        with_unpruned=False))
