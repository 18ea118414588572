// A FIFO, and a test bench that writes what UVM and Verilator write. It stands for a simulator of a design in
// SystemVerilog, and compiles in a moment.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned DEPTH = 8;

// The design: a ring of words.
struct Fifo {
    uint32_t ring[DEPTH];
    unsigned first, count;
    bool full() const { return count == DEPTH; }
    bool empty() const { return count == 0; }
    void push(uint32_t word) {
#ifdef BUG_LOST_WORD
        if (count == DEPTH - 1) return;  // the last place is never used, and the word is lost
#endif
        ring[(first + count++) % DEPTH] = word;
    }
    uint32_t pop() {
        uint32_t word = ring[first];
        first = (first + 1) % DEPTH;
        --count;
        return word;
    }
};

static uint32_t state;

static uint32_t random_number() {  // xorshift
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static unsigned long number(int argc, char **argv, const char *name, unsigned long otherwise) {
    for (int i = 1; i < argc; ++i)
        if (!strncmp(argv[i], name, strlen(name))) return strtoul(argv[i] + strlen(name), 0, 10);
    return otherwise;
}

int main(int argc, char **argv) {
    const uint32_t words = uint32_t(number(argc, argv, "+words=", 100));
    state = uint32_t(number(argc, argv, "+seed=", 1)) | 1;
    Fifo fifo = {};
    uint32_t sent = 0, received = 0;
    unsigned long cycle = 0;
    bool failed = false;
    for (; !failed && received < words; ++cycle) {
        if (sent < words && !fifo.full() && random_number() % 2) fifo.push(sent++);
        if (received < sent && random_number() % 3 == 0) {
            const uint32_t got = fifo.empty() ? ~0u : fifo.pop();
            failed = got != received;
            if (failed)
                printf("UVM_ERROR fifo.cpp(%d) @ %lu ns: tb.scoreboard [scoreboard] word %u is %u\n", __LINE__,
                       10 * cycle, received, got);
            ++received;
        }
    }
    if (!failed) puts("TEST PASSED CHECKS");
    printf("- S i m u l a t i o n   R e p o r t: Verilator 5.048\n");
    printf("- Verilator: $finish at %luns; walltime 0.250 s; speed 1.0 us/s\n", 10 * cycle);
    return int(number(argc, argv, "+exit=", 0));
}
