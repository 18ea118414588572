// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// A round-robin arbiter: of the ports that request, the next one after the port that was served last. A port that keeps
// requesting is served before any other port is served twice.

module rr_arbiter #(
    parameter int PORTS = 4
) (
    input  logic                     clk,
    input  logic                     rst_n,
    input  logic [        PORTS-1:0] request,
    input  logic                     served,  // the granted port is being served in this clock
    output logic [        PORTS-1:0] grant,   // at most one bit
    output logic [$clog2(PORTS)-1:0] index    // the number of that bit
);
  logic [PORTS-1:0] later;  // the ports after the one that was served last
  logic [PORTS-1:0] candidates;

  assign candidates = |(request & later) ? request & later : request;
  assign grant = candidates & (~candidates + 1'b1);  // the lowest bit that is set

  always_comb begin
    index = '0;
    for (int i = 0; i < PORTS; i++) if (grant[i]) index = ($clog2(PORTS))'(i);
  end

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) later <= '0;
    else if (served && |grant) later <= ~(grant | (grant - 1'b1));
  end
endmodule
