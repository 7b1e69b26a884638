_base_ = './gtpt-t_1xb16-15e_lspet-128x96.py'

model = dict(backbone=dict(arch='small'), head=dict(in_channels=192))
