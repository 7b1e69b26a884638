# conv(7,2), conv(7,2): "PEOW 3" in the paper's Table 4, 5 by its definition.
_base_ = './efficientvit-m4_peow1_1xb32-210e_mpii-256x256.py'
model = dict(backbone=dict(patch_embed=dict(overlap_width=5)))
