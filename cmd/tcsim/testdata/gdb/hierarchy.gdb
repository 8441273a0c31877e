# The hierarchy on 6.12, forward and backward.
shell tcsim gdb hierarchy --target 6.12 --elf hierarchy.elf
file hierarchy.elf
target remote | tcsim gdb hierarchy --target 6.12 --stdio
info registers
list entry
break entry
break entry:body
hbreak sub:tailcall1
continue
continue
continue
bt
delete 2
finish
monitor tcc
info registers tail_call_cnt tail_call_cnt_at bpf_pc cycles retired events
stepi
nexti
reverse-stepi
reverse-nexti
delete
monitor event tailcall:3
continue
bt
up
info registers rbx rbp rsp rip
watch -l *(unsigned int *) $tail_call_cnt_at
down
continue
monitor event tailcall:3
continue
watch -l *(unsigned int *) $tail_call_cnt_at
continue
continue
reverse-continue
reverse-continue
info registers retired tail_call_cnt
delete
continue
info registers rip retired
continue
reverse-stepi
bt -2
break sub
reverse-continue
info registers retired events
reverse-finish
info registers retired
delete
reverse-continue
x/3i $pc
monitor trace
