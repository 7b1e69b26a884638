# Whole images of COCO at 512x512 for associative embedding; heatmaps of 1/2.
_base_ = './coco_bottomup.py'

codec = dict(
    type='ImageAssociativeEmbedding',
    input_size=(512, 512),
    heatmap_size=(256, 256),
    sigma=2,
    use_udp=True,
    # From the head down to the limbs.
    decode_keypoint_order=[
        0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16
    ],
    decode_max_instances=30)
# The test reads heatmaps that were resized to the input.
decoder = dict(codec, heatmap_size=codec['input_size'])

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='BottomupRandomAffine', input_size=codec['input_size']),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='CrowdHeatmapMask'),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    # Not with use_udp: that loses the borders it adds.
    dict(
        type='BottomupResize',
        input_size=codec['input_size'],
        size_factor=64,
        resize_mode='expand'),
    dict(
        type='PackPoseInputs',
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape',
                   'input_size', 'input_center', 'input_scale', 'flip',
                   'flip_direction', 'flip_indices', 'raw_ann_info',
                   'dataset_name'))
]

train_dataloader = dict(batch_size=24, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
