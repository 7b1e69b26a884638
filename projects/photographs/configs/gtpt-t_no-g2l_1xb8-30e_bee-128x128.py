# Both passes are trained, none teaches the other.
_base_ = './gtpt-t_1xb8-30e_bee-128x128.py'

model = dict(head=dict(loss=dict(g2l_weight=0.0)))
