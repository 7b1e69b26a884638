_base_ = './huggingface-vitpose-b.py'
model = dict(num_experts=6, part_features=192)
