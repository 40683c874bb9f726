#!/bin/sh
# Most of what is claimed of a GPU, in one go of about ten minutes. Results go to OUT, with the log of each part.
#
#     sh benchmarks/gpu.sh OUT              on the GPU
#     DEVICE=cpu SIZE=64 EPOCHS=3 TURNS=2 sh benchmarks/gpu.sh OUT         a rehearsal without one
#
# A part that fails or takes too long costs only itself; the last lines say which. What is there already is kept.
set -u
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python}
device=${DEVICE:-cuda}
[ "$device" = cpu ] && half=off || half=bf16 # a rehearsal in half precision takes many times as long
size=${SIZE:-224} epochs=${EPOCHS:-300} turns=${TURNS:-20}
mkdir -p "$1" && out=$(cd "$1" && pwd) && cd "$here/.."
failed=

part() { # NAME SECONDS COMMAND …
    name=$1 limit=$2
    shift 2
    [ -e "$out/$name.done" ] && return
    echo "$name"
    if timeout "$limit" "$@" >"$out/$name.log" 2>&1; then : >"$out/$name.done"; else failed="$failed $name"; fi
}

step() { # NAME KEY=VALUE …
    name=$1
    shift
    for value; do set -- "$@" --set "$value"; shift; done
    part "step_$name" 60 "$python" benchmarks/step.py --device "$device" --size "$size" --turns "$turns" --no-memory \
        --out "$out/step_$name.json" "$@"
}

[ "$device" = cpu ] || part tests 200 "$python" -m pytest -n0 -m gpu
part training 90 "$python" benchmarks/training.py --device "$device" --size "$size" --epochs "$epochs" \
    --set "training.amp=$half" --out "$out/training.json"
step recorded
step recorded_bf16 "training.amp=$half"
part step_recorded_compiled_bf16 150 "$python" benchmarks/step.py --device "$device" --size "$size" --turns "$turns" --no-memory \
    --system "all (Mammo-Net)" --set "training.amp=$half" --set training.compile=true --out "$out/step_recorded_compiled_bf16.json"
step single training.cuda_graphs=false
part limits 60 "$python" benchmarks/limits.py --device "$device" --size "$size" --out "$out/limits.json"
part ordinary 240 "$python" benchmarks/ordinary.py --device "$device" --size "$size" --exams 60 --turns 5 --starts 1 \
    --out "$out/ordinary.json"
[ -e "$out/prepared/dataset.json" ] || part phantom 60 "$python" -m gazekit data phantom "$out/raw" --exams 100 --image-height 128
[ -e "$out/prepared/dataset.json" ] || part prepared 60 "$python" -m gazekit data prepare phantom "$out/raw" "$out/prepared" --size 64
part split 30 "$python" -m gazekit data split "$out/prepared" "$out/split.csv"
part together 150 "$python" benchmarks/together.py "$out/prepared" --split "$out/split.csv" --device "$device" \
    --at-a-time 1 4 8 --set "training.epochs=$((epochs / 3))" --out "$out/together.json"

echo "${failed:+not finished:}${failed:-all parts are finished}; results in $out"
[ -z "$failed" ]
