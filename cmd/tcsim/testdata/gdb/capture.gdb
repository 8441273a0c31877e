# What a kernel compiled, at its addresses.
shell tcsim gdb fixtures/kernels/6.12-off.jsonl.gz --scenario hier/self/const/n2/r6 --elf capture.elf
file capture.elf
target remote | tcsim gdb fixtures/kernels/6.12-off.jsonl.gz --scenario hier/self/const/n2/r6 --stdio
info registers rip
monitor event tailcall:2
continue
bt
monitor tcc
monitor stack
continue
reverse-continue
info registers rip retired
