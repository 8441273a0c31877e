# A design that was never merged, of a scenario with several runs and an update before: the third run.
target remote | tcsim gdb poke_one_site --target direct-poke --run 3 --stdio
info registers rip
x/3i $pc
monitor bpf all
continue
monitor trace
reverse-continue
info registers rip retired
