# GTPT-T with all of the paper: groups, masks, pruning, the global-perceived
# loss. Of each leg the first point is sparse, the others are dense. Starts as
# the recipe for small sets does.
_base_ = [
    '../../../configs/_base_/models/gtpt_small_set.py',
    './_base_/bee.py',
]

custom_imports = dict(
    imports=[
        'gtpt_mm', 'projects.photographs.models',
        'projects.gtpt_ablations.models'
    ],
    allow_failed_imports=False)
model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        img_size=_base_.codec.input_size[::-1],
        patch_size=(4, 4),  # 8 x 8 tokens
        with_unpruned=True,
        keypoint_groups=[
            dict(sparse=list(range(8))),  # head, body, wings
            dict(  # front legs
                sparse=[8, 20], parts=[[9, 10, 11], [21, 22, 23]]),
            dict(  # middle legs
                sparse=[12, 24], parts=[[13, 14, 15], [25, 26, 27]]),
            dict(  # hind legs
                sparse=[16, 28], parts=[[17, 18, 19], [29, 30, 31]]),
        ]),
    head=dict(out_channels=32, decoder=_base_.codec))
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=2e-3, betas=(0.9, 0.95)))
