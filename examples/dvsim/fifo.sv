// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// A FIFO of eight words: a ring.
module fifo #(
    parameter int DEPTH = 8  // a power of two
) (
    input  logic        clock,
    input  logic        reset,
    input  logic        push,
    input  logic [31:0] pushed,
    output logic        full,
    input  logic        pop,
    output logic [31:0] first,
    output logic        empty
);
    localparam int BITS = $clog2(DEPTH);

    logic [31:0] ring[DEPTH];
    logic [BITS-1:0] head, tail;
    logic [BITS:0] count;
    logic stores, takes;

    assign full  = count == (BITS + 1)'(DEPTH);
    assign empty = count == 0;
    assign first = ring[head];
    assign takes = pop && !empty;
`ifdef BUG_LOST_WORD
    assign stores = push && count < (BITS + 1)'(DEPTH - 1);  // the last place is never used, and the word is lost
`else
    assign stores = push && !full;
`endif

    always_ff @(posedge clock) begin
        if (reset) begin
            head  <= '0;
            tail  <= '0;
            count <= '0;
        end else begin
            if (stores) begin
                ring[tail] <= pushed;
                tail <= tail + 1'b1;
            end
            if (takes) head <= head + 1'b1;
            count <= count + (BITS + 1)'(stores) - (BITS + 1)'(takes);
        end
    end
endmodule
