#!/bin/sh
# Make the phantoms and carry out the studies of this folder; what is there already is kept, so that it can be stopped at any time.
#
#     [DEVICE=cuda] sh benchmarks/phantom.sh FOLDER [JOBS] [STUDY …]        studies: development gate table1
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1"
jobs=${2:-2}
[ $# -gt 2 ] && shift 2 && studies=$* || studies="development gate table1"
export OMP_NUM_THREADS=1

phantom() { # NAME EXAMS SEED
    [ -e "$1/dataset.json" ] && return
    gazekit data phantom "raw/$1" --exams "$2" --seed "$3" --image-height 128 --readers 2
    gazekit data prepare phantom "raw/$1" "$1" --size 64x48 --scale same
}

split() { # NAME TEST VALIDATION: the first random split of a study with these shares
    [ -e "$1.csv" ] || gazekit data split "$1" "$1.csv" --test "$2" --val "$3" --anew
}

control() { # CONTROL NAME
    mkdir -p "$1"
    [ -e "$1/$2/dataset.json" ] || python "$here/controls.py" "$2" "$1/$2" "$1" --split "$2.csv"
}

# Where every row starts: a network that tells patches of other patients apart
phantom pretrain 300 900
[ -e start.safetensors ] || gazekit pretrain mammonet_small --data pretrain --out start.safetensors --patch 24 \
    --set 'backbone.widths=[8,16,32,64]'

for name in $studies; do
    case $name in
    development)
        phantom development 500 101
        split development 0.04 0.833
        ;;
    gate)
        for seed in 102 103; do phantom "gate_$seed" 400 "$seed"; done
        ;;
    table1)
        for seed in 2001 2002 2003 2004 2005 2006; do
            phantom "phantom_$seed" 400 "$seed"
            split "phantom_$seed" 0.75 0.2
            for control in gaze_shuffled gaze_shifted order_shuffled views_mispaired; do
                control "$control" "phantom_$seed"
            done
        done
        ;;
    esac
    cp "$here/$name.toml" .
    gazekit benchmark "$name.toml" --jobs "$jobs" --device "${DEVICE:-cpu}"
done
