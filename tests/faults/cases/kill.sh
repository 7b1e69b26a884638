# Killed, resumed and compared with a run that nothing stopped.
P=@ROOT@/.venv/bin/python
same() { $P cmp.py "$1" "$2"; }
say() { grep -E "Error|refus" "$1" | tail -1 | cut -c1-400; }
rm -rf wd/kill_*
echo "--- two runs are equal"
./tr.sh cfg/tiny.py wd/kill_twice > logs/kill_twice.log 2>&1; echo rc $?
same wd/a/epoch_4.pth wd/kill_twice/epoch_4.pth
echo "--- SIGKILL in an epoch, resumed"
$P killat.py wd/kill_epoch/epoch_2.pth 0.3 9 cfg/tiny.py wd/kill_epoch > logs/kill_epoch0.log
cat logs/kill_epoch0.log | sed 's/^rc/killed, code/'
./tr.sh cfg/tiny.py wd/kill_epoch --resume > logs/kill_epoch.log 2>&1; echo rc $?
same wd/a/epoch_4.pth wd/kill_epoch/epoch_4.pth
echo "--- SIGKILL in a save, resumed"
$P killslow.py wd/kill_save/epoch_2.pth 0.9 wd/kill_save cfg/tiny.py | sed 's/^rc/killed, code/'
./tr.sh cfg/tiny.py wd/kill_save --resume > logs/kill_save.log 2>&1; echo rc $?
same wd/a/epoch_4.pth wd/kill_save/epoch_4.pth
echo "--- augmentation of two epochs, workers not persistent"
$P augmentations.py
echo "--- resume from a best file without optimizer"
$P -c "
import glob, torch
whole = torch.load(glob.glob('wd/a/best_*.pth')[0], weights_only=False)
whole.pop('optimizer', None)
torch.save(whole, 'wd/best_bare.pth')
torch.save({k: whole[k] for k in ('meta', 'state_dict')}, 'wd/weights.pth')
torch.save(whole['state_dict'], 'wd/bare.pth')"
./tr.sh cfg/tiny.py wd/kill_best --resume wd/best_bare.pth > logs/kill_best.log 2>&1; echo rc $?; say logs/kill_best.log
echo "--- resume from bare weights"
./tr.sh cfg/tiny.py wd/kill_bare --resume wd/bare.pth > logs/kill_bare.log 2>&1; echo rc $?; say logs/kill_bare.log
echo "--- resume with another batch size"
cp -r wd/a wd/kill_batch
./tr.sh cfg/tiny.py wd/kill_batch --resume --cfg-options train_dataloader.batch_size=4 train_cfg.max_epochs=5 > logs/kill_batch.log 2>&1; echo rc $?; say logs/kill_batch.log
echo "--- pickle as bbox_file"
cp ck/evil.pkl data/demo/coco/boxes.pkl
./te.sh cfg/tiny.py wd/a/epoch_4.pth --work-dir wd/kill_pkl --cfg-options test_dataloader.dataset.bbox_file=data/demo/coco/boxes.pkl > logs/kill_pkl.log 2>&1; echo rc $?; say logs/kill_pkl.log; ls -d PWNED* 2> /dev/null; rm -f PWNED*
