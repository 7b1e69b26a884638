# No pruning: one pass with all tokens.
_base_ = './gtpt-t_1xb8-30e_bee-128x128.py'

model = dict(
    backbone=dict(keep_rates=(1.0, 1.0, 1.0, 1.0), with_unpruned=False))
