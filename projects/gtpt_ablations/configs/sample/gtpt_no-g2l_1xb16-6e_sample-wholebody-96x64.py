# Without the Global-2-Local term: the unpruned pass is trained, but does not
# teach the pruned one.
_base_ = './gtpt_1xb16-6e_sample-wholebody-96x64.py'

model = dict(head=dict(loss=dict(g2l_weight=0.0)))
