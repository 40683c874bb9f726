#!/bin/sh
# Make the phantoms and carry out the studies of this folder; what is there already is kept, so that it can be stopped at any time.
#
#     [DEVICE=cuda] sh benchmarks/phantom.sh FOLDER [JOBS] [STUDY …]        studies: ablation regimes choices
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1"
jobs=${2:-2}
[ $# -gt 2 ] && shift 2 && studies=$* || studies="ablation regimes choices"

prepared() { # NAME EXAMS SEED [OPTION …]
    name=$1 exams=$2 seed=$3
    shift 3
    [ -e "$name/prepared/dataset.json" ] && return
    gazekit data phantom "$name/raw" --exams "$exams" --seed "$seed" "$@"
    gazekit data prepare phantom "$name/raw" "$name/prepared" --size 64
}

split() { # FILE DATA TEST VALIDATION
    [ -e "$1" ] || gazekit data split "$2/prepared" "$1" --test "$3" --val "$4"
}

control() { # NAME
    [ -e "phantom/$1/dataset.json" ] ||
        python "$here/controls.py" phantom/prepared "phantom/$1" "$1" --split phantom/split.csv
}

study() { # FILE
    cp "$here/$1.toml" .
    OMP_NUM_THREADS=1 gazekit benchmark "$1.toml" --jobs "$jobs" --device "${DEVICE:-cpu}"
}

prepared phantom 600 11
split phantom/split.csv phantom 0.767 0.43
for name in $studies; do
    case $name in
    ablation)
        for control in gaze_shuffled gaze_shifted views_mispaired; do control "$control"; done
        study ablation_phantom
        ;;
    regimes)
        prepared gaze_25 600 11 --gaze-quality 0.25
        prepared gaze_0 600 11 --gaze-quality 0
        prepared no_look_alikes 600 11 --look-alikes 0
        split phantom/split_40.csv phantom 0.833 0.6
        split phantom/split_240.csv phantom 0.5 0.2
        for regime in 40 240 gaze no_look_alikes; do study "regime_$regime"; done
        ;;
    choices)
        prepared development 380 20
        split development/split.csv development 0.632 0.43
        study choices_development
        prepared confirmation 380 21
        split confirmation/split.csv confirmation 0.632 0.43
        study choices_confirmation
        ;;
    esac
done
