# Sourced by ./run: builds the test programs and runs them, ending in one line `N passed, N failed, N skipped`.

# run_programs PROGRAM...: each test program with its output in $log/<name>.log; failures are shown, counts go to passed, failed, skipped.
run_programs() {
  local program name code
  for program in "$@"; do
    name=$(basename "$program")
    code=0
    TESSERA_HOME=$root timeout 1500 "$program" --gtest_filter="$filter" --gtest_brief=0 >"$log/$name.log" 2>&1 </dev/null || code=$?
    count_results "$name" "$code"
  done
}

count_results() {
  local name=$1 code=$2 file=$log/$1.log ok bad skip
  ok=$(grep -c '^\[       OK \]' "$file" || true)
  bad=$(grep -cE '^\[  FAILED  \] .* \([0-9]+ ms\)$' "$file" || true)
  skip=$(grep -cE '^\[  SKIPPED \] .* \([0-9]+ ms\)$' "$file" || true)
  if [ "$code" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi  # it crashed or ran out of time
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
  printf '%-24s %4d passed %3d failed %3d skipped\n' "$name" "$ok" "$bad" "$skip"
  if [ "$bad" != 0 ]; then
    grep -vE '^\[( RUN      |       OK |----------|==========)' "$file" | tail -n 60
  fi
}

# A check that is one command: passed or failed with its output.
run_check() {  # NAME COMMAND...
  local name=$1
  shift
  if "$@" >"$log/$name.log" 2>&1; then
    passed=$((passed + 1))
    printf '%-24s    1 passed\n' "$name"
  else
    failed=$((failed + 1))
    printf '%-24s    1 failed\n' "$name"
    tail -n 40 "$log/$name.log"
  fi
}

run_lint() {
  install_debian clang-format-14
  run_check style "$venv/bin/python" "$root/tests/style/check.py" "$root"
  run_check clang-format "$venv/bin/python" "$root/tests/style/format.py" "$root"
}

run_long_lint() {
  run_lint
  install_debian clang-14 clang-tidy-14
  run_check clang-tidy "$venv/bin/python" "$root/tests/style/tidy.py" "$root" "$build"
  run_check install bash "$root/tests/install/check.sh" "$root" "$build"
}

# Made anew in a copy, the script's golden files are those that are here (but
# SentencePiece's models and pickles, which hold the path or the moment they were made at).
made_anew() {  # SCRIPT
  local copy python=$root/.venv-parity/bin/python
  copy=$(mktemp -d)
  mkdir -p "$copy/tests" "$copy/tessera/text"
  cp -r "$root/tests/parity" "$copy/tests/"
  cp "$root/tessera/text/unicode_table.inc" "$copy/tessera/text/"
  "$python" "$copy/tests/parity/$(basename "$1")" &&
    diff -rq -x '*.model' -x '*.pt' "$root/tests/parity/golden" "$copy/tests/parity/golden" &&
    cmp "$root/tessera/text/unicode_table.inc" "$copy/tessera/text/unicode_table.inc" && rm -r "$copy"
}

run_parity() {
  local script name python=$root/.venv-parity/bin/python
  setup_oracles
  build_targets "$build" bench_tokenize
  export TESSERA_HOME=$root TESSERA_PROGRAM=$build/bin/tessera
  for script in "$root"/tests/parity/*.py "$root"/tests/web/*.py; do
    name=$(basename "$script" .py)
    case $name in
      golden_file | tokenizer_families | tokenizer_texts) ;;  # what the others share
      jinja | sentencepiece | tensor | tokenizer_unicode | train_vocab) run_check "parity-$name" made_anew "$script" ;;
      tokenizer) run_check "parity-$name" "$python" "$script" --full --program "$build/bin/bench_tokenize" ;;
      *) run_check "parity-$name" "$python" "$script" --check ;;
    esac
  done
}

run_tests() {
  local filter="*" mode=normal folder=$build passed=0 failed=0 skipped=0 started=$SECONDS programs options=()
  while [ $# -gt 0 ]; do
    case $1 in
      --sanitize | --parity | --lint) mode=${1#--} ;;
      -*) fail "unknown option $1; ./run test takes [FILTER] [--sanitize | --parity | --lint]" ;;
      *) filter="*$1*" ;;
    esac
    shift
  done
  if [ "$mode" = sanitize ]; then
    folder=$root/build-sanitize
    options=(-DTESSERA_SANITIZE=ON)
  fi
  log=$folder/test-logs
  configure "$folder" "${options[@]}"
  mkdir -p "$log"
  case $mode in
    lint) run_long_lint ;;
    *)
      build_targets "$folder" all
      [ "$mode" = sanitize ] || touch -c "$build/bin/tessera"
      programs=("$folder"/bin/tests_*)
      run_programs "${programs[@]}" ;;
  esac
  [ "$mode" != parity ] || run_parity
  if [ "$mode" = normal ] && [ "$filter" = "*" ]; then
    run_lint
  fi
  printf 'in %d s\n' $((SECONDS - started))
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" = 0 ]
}

run_fuzz() {  # NAME [SECONDS]
  local name=${1:-} seconds=${2:-60} folder=$root/build-fuzz corpus
  install_debian clang-14 libclang-rt-14-dev
  [ -f "$root/tests/fuzz/$name.cpp" ] || fail "./run fuzz NAME [SECONDS]; NAME is one of: $(ls "$root/tests/fuzz" | sed -n 's/\.cpp$//p' | tr '\n' ' ')"
  configure "$folder" -DTESSERA_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++-14
  build_targets "$folder" "fuzz_$name"
  corpus=$folder/corpus/$name
  mkdir -p "$corpus"
  exec "$folder/bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$folder/" -print_final_stats=1 \
    "$corpus" "$root/tests/fuzz/corpus/$name"
}
