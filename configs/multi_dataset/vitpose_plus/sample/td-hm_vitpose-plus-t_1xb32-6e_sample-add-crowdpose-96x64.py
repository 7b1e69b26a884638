# A seventh dataset for a trained model: its experts and its head are trained,
# all else stays as it is.
# gtpt-mm add-dataset work_dirs/six/epoch_14.pth work_dirs/seven.pth \
#     --name crowdpose --like aic
_base_ = './td-hm_vitpose-plus-t_1xb32-14e_sample-six-datasets-96x64.py'

dataset_names = [*_base_.dataset_names, 'crowdpose']
load_from = 'work_dirs/seven.pth'

model = dict(
    backbone=dict(experts=dict(num_experts=7), train_only_expert=6),
    head=dict(
        names=dataset_names,
        train_only=['crowdpose'],
        heads=dict(
            crowdpose=dict(out_channels=14, decoder=_base_.msra_codec))),
    test_cfg=dict(datasets=dict(crowdpose=dict(shift_heatmap=True))))

# The files of CrowdPose, the pipelines of AI Challenger.
crowdpose = dict(
    type='CrowdPoseDataset',
    data_root='data/sample/crowdpose/',
    ann_file='annotations/mmpose_crowdpose_trainval.json',
    data_prefix=dict(img='images/'))
train_dataloader = dict(
    dataset=dict(
        names=dataset_names,
        datasets=dict(
            _delete_=True,
            crowdpose=dict(
                _base_.train_dataloader.dataset.datasets.aic, **crowdpose))))
# All seven are tested: the six must be as good as before.
crowdpose.update(ann_file='annotations/mmpose_crowdpose_test.json')
val_dataloader = dict(
    dataset=dict(
        names=dataset_names,
        datasets=dict(
            crowdpose=dict(
                _base_.val_dataloader.dataset.datasets.aic, **crowdpose))))
test_dataloader = val_dataloader
val_evaluator = dict(
    names=dataset_names,
    metrics=dict(
        crowdpose=dict(
            type='CocoMetric',
            ann_file=crowdpose['data_root'] + crowdpose['ann_file'],
            use_area=False,
            iou_type='keypoints_crowd')))
test_evaluator = val_evaluator
del crowdpose

train_cfg = dict(max_epochs=6)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=20),  # warm-up
    _base_.param_scheduler[1]
]
