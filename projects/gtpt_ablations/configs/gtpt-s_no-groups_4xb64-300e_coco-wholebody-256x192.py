# One group of all keypoints: no grouping and no masks (Tables 3, 4 and 6). In
# the paper's count the dense keypoints are then added to the image tokens.
_base_ = ('../../../configs/wholebody_2d_keypoint/gtpt/coco-wholebody/'
          'gtpt-s_4xb64-300e_coco-wholebody-256x192.py')

custom_imports = dict(
    imports=['gtpt_mm', 'projects.gtpt_ablations.models'],
    allow_failed_imports=False)
model = dict(
    backbone=dict(
        type='UngroupedGTPT',
        keypoint_groups=[
            dict(
                sparse=list(range(17)),
                parts=[
                    list(range(23, 91)),  # face
                    list(range(91, 112)),  # left hand
                    list(range(112, 133)),  # right hand
                    list(range(17, 20)),  # left foot
                    list(range(20, 23)),  # right foot
                ])
        ]))
