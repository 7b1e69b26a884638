# Deformable attention as gtpt_mm.compat makes it.
_base_ = './edpose-res50.py'
model = dict(stock_operator=False)
