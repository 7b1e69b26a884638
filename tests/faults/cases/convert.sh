# gtpt-mm convert with what is no checkpoint, and with targets that cannot be.
C="@ROOT@/.venv/bin/python -m gtpt_mm convert"
try() { n=$1; shift; echo "--- $n"; timeout 100 $C "$@" > logs/convert.log 2>&1; echo "rc $?"; tail -3 logs/convert.log | cut -c1-500; grep -cE "Traceback" logs/convert.log | sed 's/^[1-9].*/TRACEBACK/;s/^0//'; ls -d PWNED* 2> /dev/null; rm -f PWNED*; }
mkdir -p out; rm -rf out/*; mkdir -p out/folder.pth
for f in evil evil_old evil_pickle empty html half bitflip tensor list nothing othernames missing dir; do try $f ck/$f.pth out/$f.pth; done
try nan ck/nan.pth out/nan.pth --to official
for f in wrong empty huge; do try $f.safetensors ck/$f.safetensors out/x.pth; done
try "good to safetensors" wd/a/epoch_4.pth out/good.safetensors --weights trained; ls out
try "official" wd/a/epoch_4.pth out/official.pth --to official
try "target exists" wd/a/epoch_4.pth out/official.pth --to official
try "target a folder" wd/a/epoch_4.pth out/folder.pth --to official --overwrite
