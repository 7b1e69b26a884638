# Pruning without the global-perceived loss: one pass, pruned.
_base_ = './gtpt-t_1xb8-30e_bee-128x128.py'

model = dict(backbone=dict(with_unpruned=False))
