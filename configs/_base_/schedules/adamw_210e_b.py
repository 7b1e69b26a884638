# ViTPose-B: the rates of its layers fall faster than those of ViTPose-S.
_base_ = './adamw_210e.py'

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
