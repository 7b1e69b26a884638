# Windows that shift in every second layer and attend to the means of all.
_base_ = './vitpose-tiny_1xb16-15e_lspet-128x96.py'

model = dict(
    backbone=dict(
        attention=dict(window_size=(4, 3), shift=True, pool=True)))
