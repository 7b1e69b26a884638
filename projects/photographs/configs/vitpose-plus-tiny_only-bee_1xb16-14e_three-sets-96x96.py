# The same model on one set: experts and heads of the others stay as they are.
_base_ = './vitpose-plus-tiny_1xb48-14e_three-sets-96x96.py'

train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        sample_ratio_factor=dict(
            _delete_=True, bee=_base_.ratios.bee),
        datasets=dict(_delete_=True, bee=_base_.train_sets.bee)))
val_dataloader = dict(
    dataset=dict(datasets=dict(_delete_=True, bee=_base_.val_sets.bee)))
test_dataloader = val_dataloader
val_evaluator = dict(metrics=dict(_delete_=True, bee=_base_.pck))
test_evaluator = val_evaluator
