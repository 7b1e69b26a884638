# A seventh dataset for a trained model: its experts and its head are trained,
# all else stays as it is.
# gtpt-mm add-dataset work_dirs/six/epoch_14.pth work_dirs/seven.pth \
#     --name crowdpose --like aic
_base_ = './td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'

dataset_names = [*_base_.dataset_names, 'crowdpose']
load_from = 'work_dirs/seven.pth'

model = dict(
    backbone=dict(experts=dict(num_experts=7)),
    head=dict(
        names=dataset_names,
        heads=dict(
            crowdpose=dict(out_channels=14, decoder=_base_.msra_codec))),
    test_cfg=dict(datasets=dict(crowdpose=dict(shift_heatmap=True))))
custom_hooks = [
    dict(
        type='FreezeHook',
        trainable=['backbone.experts.6', 'head.crowdpose'])
]

crowdpose = dict(
    type='CrowdPoseDataset',
    data_root='data/sample/crowdpose/',
    data_prefix=dict(img='images/'))
train_dataloader = dict(
    dataset=dict(
        names=dataset_names,
        datasets=dict(
            _delete_=True,
            crowdpose=dict(
                **crowdpose,
                ann_file='annotations/mmpose_crowdpose_trainval.json',
                pipeline=_base_.train_dataloader.dataset.datasets.aic
                .pipeline))))
# All seven are tested: the six must be as good as before.
val_dataloader = dict(
    dataset=dict(
        names=dataset_names,
        datasets=dict(
            crowdpose=dict(
                **crowdpose,
                ann_file='annotations/mmpose_crowdpose_test.json',
                test_mode=True,
                pipeline=_base_.val_dataloader.dataset.datasets.aic
                .pipeline))))
test_dataloader = val_dataloader
val_evaluator = dict(
    names=dataset_names,
    metrics=dict(
        crowdpose=dict(
            type='CocoMetric',
            ann_file='data/sample/crowdpose/annotations/'
            'mmpose_crowdpose_test.json',
            use_area=False,
            iou_type='keypoints_crowd')))
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=20, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        T_max=6,
        eta_min=1e-5,
        by_epoch=True,
        convert_to_iter_based=True)
]
