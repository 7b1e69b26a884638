# A narrow GTPT with 133 keypoints on small crops of drawn people: so small
# that a CPU trains several variants. See ../../README.md for the commands.
# gtpt-mm sample-data data/ablations --layout coco coco-wholebody \
#     --num-train 2000 --num-val 200 --difficulty easy --max-people 1
_base_ = [
    '../../../../configs/_base_/models/gtpt_coco_wholebody.py',
    '../../../../configs/_base_/schedules/adam_14e.py',
    '../../../../configs/_base_/datasets/sample_wholebody_simcc_96x64.py',
]

custom_imports = dict(
    imports=['gtpt_mm', 'projects.gtpt_ablations.models'],
    allow_failed_imports=False)
model = dict(
    data_preprocessor=_base_.data_preprocessor,
    backbone=dict(
        # 48 tokens leave no room for 68 face keypoints, so these are added.
        type='AddedDenseGTPT',
        arch=dict(_delete_=True, embed_dims=64, stem_channels=64),
        depth=8,
        img_size=_base_.codec.input_size[::-1],
        patch_size=(4, 2),  # 6 x 8 tokens of 16 x 8 pixels
        keep_rates=(1.0, 0.7, 0.5, 0.3),
        qk_init_gain=3.0,
        init_cfg=dict(type='Kaiming', layer='Conv2d')),
    head=dict(in_channels=64, decoder=_base_.codec))

data_root = 'data/ablations/coco/'
train_dataloader = dict(dataset=dict(data_root=data_root))
# Annotated boxes: the detector is not what is compared.
val_dataloader = dict(dataset=dict(data_root=data_root, bbox_file=None))
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='CocoWholeBodyMetric',
        ann_file=data_root + 'annotations/coco_wholebody_val_v1.0.json',
        keypoint_score_thr=_base_.val_evaluator.keypoint_score_thr,
        nms_thr=0.9),
    dict(type='PCKAccuracy', thr=0.05),
    dict(type='EPE')
]
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=6, val_interval=6)
