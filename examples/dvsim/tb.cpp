// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// The test bench: pushes words and pops words at random, and checks that they leave in the order in which they came.
// It writes what a test bench of UVM writes, and Verilator adds its report.
//
//     simulator [+seed=1] [+words=100] [+exit=0]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "Vfifo.h"
#include "verilated.h"

static uint32_t state;

static bool one_in(uint32_t many) {  // xorshift
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % many == 0;
}

static uint32_t number(VerilatedContext &context, const std::string &name, uint32_t otherwise) {
    const std::string word = context.commandArgsPlusMatch((name + "=").c_str());  // "+words=20", or nothing
    return word.empty() ? otherwise : std::strtoul(word.c_str() + name.size() + 2, nullptr, 10);
}

int main(int argc, char **argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    const uint32_t words = number(context, "words", 100);
    state = number(context, "seed", 1) | 1;

    Vfifo fifo{&context};
    const auto half_a_cycle = [&](bool clock) {
        fifo.clock = clock;
        fifo.eval();
        context.timeInc(5);
    };
    fifo.reset = 1;
    half_a_cycle(false);
    half_a_cycle(true);
    fifo.reset = 0;

    uint32_t sent = 0, received = 0;
    bool failed = false;
    while (!failed && received < words) {
        half_a_cycle(false);
        fifo.push = sent < words && !fifo.full && one_in(2);
        fifo.pushed = sent;
        fifo.pop = received < sent && one_in(3);
        if (fifo.pop) {
            failed = fifo.empty || fifo.first != received;
            if (failed)
                std::printf("UVM_ERROR tb.cpp(%d) @ %lu ns: tb.scoreboard [scoreboard] word %u is %s\n", __LINE__,
                            static_cast<unsigned long>(context.time()), received,
                            fifo.empty ? "lost" : std::to_string(fifo.first).c_str());
            ++received;
        }
        sent += fifo.push;
        half_a_cycle(true);
    }
    if (!failed) std::puts("TEST PASSED CHECKS");
    fifo.final();
    context.gotFinish(true);
    context.statsPrintSummary();
    return number(context, "exit", 0);
}
