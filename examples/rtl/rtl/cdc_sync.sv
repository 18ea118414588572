// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// Two flip-flops that carry a value from one clock domain into another.
//
// Only a value of which one bit changes at a time (a Gray code) may cross like this. In hardware, a bit that changes
// close to the sampling edge is seen one clock late, each bit by its own luck. A plain simulation never shows that, so
// the first flip-flop models it: a bit that changed at the source's last clock edge may still be seen as it was.

package cdc_model;
  int unsigned late_percent = 0;  // how often such a bit is late; 0 is an ideal synchroniser
  int unsigned late_bits = 0;     // how many bits were late so far
  int unsigned state = 1;

  function automatic bit late();
    if (late_percent == 0) return 1'b0;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % 100 < late_percent;
  endfunction
endpackage

module cdc_sync #(
    parameter int WIDTH = 4
) (
    input  logic             src_clk,  // used by the model alone
    input  logic [WIDTH-1:0] d,
    input  logic             clk,
    input  logic             rst_n,
    output logic [WIDTH-1:0] q
);
  logic [WIDTH-1:0] first, seen;

`ifdef SYNTHESIS
  assign seen = d;
`else
  logic [WIDTH-1:0] previous;  // d, before the source's last clock edge
  logic [WIDTH-1:0] unlucky;   // the bits that will be late at the next edge, if they have just changed
  logic [WIDTH-1:0] held;

  always_ff @(posedge src_clk) previous <= d;
  always @(negedge clk) for (int i = 0; i < WIDTH; i++) unlucky[i] <= cdc_model::late();
  always @(posedge clk) if (rst_n) cdc_model::late_bits += $countones(held);

  assign held = unlucky & (d ^ previous) & (d ^ first);
  assign seen = d ^ held;
`endif

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) {q, first} <= '0;
    else {q, first} <= {first, seen};
  end
endmodule
