# Attention in windows of a quarter of the 8 x 6 tokens.
_base_ = './vitpose-tiny_1xb16-15e_lspet-128x96.py'

model = dict(backbone=dict(attention=dict(window_size=(4, 3))))
