# To be sourced. Makes the file $out/NAME unless it is there already, and says what it cost. What is
# finished gets the name: a training writes every best epoch, and one that was stopped goes on at its
# last. Needs $posetape, $out and $seed.
stage() {  # NAME, arguments of posetape without -o
  local name=$1 start=$SECONDS resume=()
  local stem=${name%.safetensors}
  shift
  [[ -f $out/$name ]] && return
  [[ -f $out/part.$stem.last.safetensors ]] && resume=(--resume)
  echo "\$ posetape $* -o $out/$name --seed $seed"
  "$posetape" "$@" -o "$out/part.$name" --seed "$seed" "${resume[@]}"
  if [[ -f $out/part.$stem.last.safetensors ]]; then
    rm "$out/part.$stem.last.safetensors"
    mv "$out/part.$stem.log.jsonl" "$out/$stem.log.jsonl"
  fi
  mv "$out/part.$name" "$out/$name"
  echo "-- $((SECONDS - start)) s"
}
