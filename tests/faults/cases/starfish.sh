# A small dataset must learn, and save, what it learns.
B=@ROOT@/.venv/bin
ap() { grep -oE "coco/AP: *-?[0-9.]+" "$1" | tail -1 | sed 's/.*: */AP /'; }
W=work_dirs/gtpt_starfish
rm -rf $W
echo "--- train"
$B/mim train mmpose gtpt_starfish.py --work-dir $W > logs/starfish.log 2>&1; echo rc $?
grep -oE "coco/AP: *-?[0-9.]+" logs/starfish.log | tr '\n' ' '; echo; ap logs/starfish.log
echo "--- trained weights of the same file"
$B/python raw_vs_ema.py
$B/mim test mmpose gtpt_starfish.py --checkpoint raw.pth --work-dir runs/raw > logs/starfish_raw.log 2>&1; echo rc $?; ap logs/starfish_raw.log
echo "--- inferencer"
$B/python infer.py 2>&1 | grep -v Loads
echo "--- TensorBoard config"
$B/mim train mmpose gtpt_tb.py --work-dir runs/gtpt_tb > logs/starfish_tb.log 2>&1; echo rc $?; grep Error logs/starfish_tb.log | tail -1 | cut -c1-300
