# bash completion for chaosgate. scripts/check-docs compares its flags with those of --help.

_chaosgate_flags() {
  local run_and_replay='--engine --workload --protocol --crash --faults --plan --recrash --no-recrash
    --maintenance --timer-us-max --fault --segment-bytes --dir --worker --hang-ms --config --help'
  case $1 in
    '') echo --help --version --color ;;
    run) echo "$run_and_replay" --json --images --loads --profile --tap --print-plan --replicas --engines --kills --seed --lanes --results --failures-max --regressions \
      --no-regressions --selftest --no-selftest --at-risk-percent-min --print-config --plan-checksum --quiet ;;
    replay) echo "$run_and_replay" --json --images --loads --profile --lanes --cycle --load --lane --repeat --plan-checksum --as-planned ;;
    trace) echo "$run_and_replay" --images --loads --profile --lanes --cycle --load --lane --record --output --plan-checksum --as-planned ;;
    sweep) echo --engine --seed --workload --protocol --fault --segment-bytes --dir --results --worker \
      --hang-ms --failures-max --config --entries --json --quiet --help ;;
    selftest) echo --engine --seed --kills --dir --results --worker --hang-ms --config --seeds --fault --control-kills \
      --json --quiet --help ;;
    minimize) echo --engine --dir --worker --hang-ms --config --out --tests --repeat --json --help ;;
    bench) echo --engine --seed --workload --protocol --maintenance --dir --worker --hang-ms --config --cycles \
      --images --engines --entries --rounds --json --help ;;
    certify) echo --engine --kills --seed --images --profile --lanes --protocol --dir --worker --hang-ms \
      --failures-max --selftest --no-selftest --config --fault --level --io-kills --io-images --damages --soak-kills --out --json --quiet --help ;;
    migrate) echo --from --to --engine --from-engine --keyspaces --dry-run --gate --plan-checksum --kills --images --seed --workload \
      --profile --fault --dir --results --failures-max --worker --hang-ms --config --json --quiet --help ;;
    conform) echo --engine --seed --dir --worker --hang-ms --config --json --help ;;
    report) echo --json --help ;;
    list) echo --engine --worker --config --json --help ;;
  esac
}

# The values that flag $1 takes; status 1 when it takes none, 2 when they are file names.
_chaosgate_values() {
  case $1 in
    --engine | --engines | --from-engine) "$program" list engines 2>/dev/null | grep -v '^ ' ;;
    --workload) "$program" list workloads 2>/dev/null | grep -v '^ ' ;;
    --fault) "$program" list faults 2>/dev/null | grep -v '^ ' ;;
    --protocol) echo in-batch sidecar both ;;
    --crash) echo timer step call ;;
    --faults) echo kill io power ;;
    --profile) echo strict ext4-writeback xfs ext4-ordered btrfs prefix ;;
    --tap) echo auto always off ;;
    --level) echo conformance kill io power damage soak ;;
    --maintenance) echo scheduled free-running both ;;
    --color) echo auto always never ;;
    --dir | --from | --to | --results | --config | --worker | --plan | --output | --out) return 2 ;;
    --kills | --seed | --seeds | --lanes | --lane | --load | --record | --cycle | --cycles | --repeat | --plan-checksum) ;;
    --timer-us-max | --segment-bytes | --failures-max | --hang-ms | --at-risk-percent-min) ;;
    --io-kills | --io-images | --damages | --soak-kills | --keyspaces | --control-kills | --entries | --rounds | --images | --loads | --tests) ;;
    *) return 1 ;;
  esac
}

# Whether flag $1 takes several values, with commas.
_chaosgate_is_list() { [[ $1 == @(--engine|--engines|--crash|--faults) ]]; }

_chaosgate() {
  local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command='' word values status=0 before=''
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      run | replay | minimize | sweep | trace | selftest | bench | certify | migrate | conform | report | list)
        command=$word
        break
        ;;
    esac
  done
  # "--flag=value" arrives as three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  values=$(_chaosgate_values "$previous") || status=$?
  if ((status == 0)); then
    if _chaosgate_is_list "$previous" && [[ $current == *,* ]]; then
      before=${current%,*},
      current=${current##*,}
    fi
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$values" -- "$current")
    if [[ $previous == --*engine* && $current == */* ]]; then
      mapfile -t COMPREPLY < <(compgen -P "$before" -f -- "$current")
    fi
  elif ((status == 2)); then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_chaosgate_flags "$command")" -- "$current")
  else
    case $command in
      '') values='run replay minimize sweep trace selftest bench certify migrate conform report list' ;;
      list) values='engines workloads faults steps invariants' ;;
      replay | report | trace)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
  fi
}

complete -o filenames -F _chaosgate chaosgate
