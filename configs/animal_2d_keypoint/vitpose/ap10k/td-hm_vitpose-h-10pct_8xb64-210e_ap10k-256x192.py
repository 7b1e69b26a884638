# A tenth of the animals, as often as all would come; for other shares set
# train_dataloader.dataset.fraction.
_base_ = './td-hm_vitpose-h_8xb64-210e_ap10k-256x192.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='RepeatedFraction',
        fraction=0.1,
        dataset=_base_.train_dataloader.dataset))
