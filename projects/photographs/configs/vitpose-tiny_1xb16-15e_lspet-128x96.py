# Half the width and depth of ViTPose-S, as the distilled one of the samples.
_base_ = './vitpose-s_1xb16-15e_lspet-128x96.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=192, depth=6, num_heads=6)),
    head=dict(in_channels=192))
