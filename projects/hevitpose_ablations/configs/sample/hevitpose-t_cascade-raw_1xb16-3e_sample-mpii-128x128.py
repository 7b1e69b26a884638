_base_ = './hevitpose-t_1xb16-3e_sample-mpii-128x128.py'
custom_imports = dict(
    imports=['gtpt_mm', 'projects.hevitpose_ablations.models'],
    allow_failed_imports=False)
model = dict(
    backbone=dict(
        type='HEViTPoseVariant', attention=dict(cascade_normed=False)))
