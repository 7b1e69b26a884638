"""Keypoints of APT-36K: those of AP-10K, a config that mmpose reads."""

_base_ = 'mmpose::_base_/datasets/ap10k.py'

dataset_info = dict(
    dataset_name='apt36k',
    paper_info=dict(
        author='Yang, Yuxiang and Yang, Junjie and Xu, Yufei and Zhang, Jing '
        'and Lan, Long and Tao, Dacheng',
        title='APT-36K: A Large-scale Benchmark for Animal Pose Estimation '
        'and Tracking',
        container='NeurIPS Datasets and Benchmarks Track',
        year='2022',
        homepage='https://github.com/pandorgan/APT-36K',
    ),
)
