// SPDX-License-Identifier: Apache-2.0
// Copyright The runtime authors
//
// A FIFO between two unrelated clocks. Each side counts its own words in binary, tells the other side in Gray code, and
// sees the other side's count a little late. So each side errs on the safe side: the writer believes the FIFO to be
// fuller than it is, the reader believes it to be emptier. The oldest word is on rdata whenever empty is low.

module async_fifo #(
    parameter int WIDTH = 16,
    parameter int DEPTH = 16,  // words; a power of two, at least 4
    parameter int ALMOST = 2,  // how many words from full, or from empty, the almost_ flags rise
    localparam int AW = $clog2(DEPTH)
) (
    input  logic             wclk,
    input  logic             wrst_n,
    input  logic             push,
    input  logic [WIDTH-1:0] wdata,
    output logic             full,
    output logic             almost_full,
    output logic [     AW:0] wlevel,

    input  logic             rclk,
    input  logic             rrst_n,
    input  logic             pop,
    output logic [WIDTH-1:0] rdata,
    output logic             empty,
    output logic             almost_empty,
    output logic [     AW:0] rlevel
);
  typedef logic [AW:0] pointer_t;  // one bit more than an address, to tell full from empty

  // How a pointer is written while it crosses.
`ifdef BUG_BINARY_POINTERS
  function automatic pointer_t encode(pointer_t bin);
    return bin;  // several bits change at once: the other side may see a mixture of old and new
  endfunction

  function automatic pointer_t decode(pointer_t code);
    return code;
  endfunction
`else
  function automatic pointer_t encode(pointer_t bin);
    return bin ^ (bin >> 1);
  endfunction

  function automatic pointer_t decode(pointer_t code);
    for (int i = 0; i <= AW; i++) decode[i] = ^(code >> i);
  endfunction
`endif

  logic [WIDTH-1:0] mem[DEPTH];
  pointer_t wptr, wcode, wcode_seen;  // words ever written; the same in code; as the reader sees it
  pointer_t rptr, rcode, rcode_seen;  // words ever read; the same in code; as the writer sees it

  // The writer's side.
  cdc_sync #(.WIDTH(AW + 1)) read_to_write (.src_clk(rclk), .d(rcode), .clk(wclk), .rst_n(wrst_n), .q(rcode_seen));

  assign wlevel = wptr - decode(rcode_seen);
  assign full = wlevel == pointer_t'(DEPTH);
  assign almost_full = wlevel >= pointer_t'(DEPTH - ALMOST);

  always_ff @(posedge wclk or negedge wrst_n) begin
    if (!wrst_n) begin
      wptr  <= '0;
      wcode <= '0;
    end else if (push && !full) begin
      wptr  <= wptr + 1'b1;
      wcode <= encode(wptr + 1'b1);
    end
  end

  always_ff @(posedge wclk) if (push && !full) mem[wptr[AW-1:0]] <= wdata;

  // The reader's side.
  cdc_sync #(.WIDTH(AW + 1)) write_to_read (.src_clk(wclk), .d(wcode), .clk(rclk), .rst_n(rrst_n), .q(wcode_seen));

  assign rlevel = decode(wcode_seen) - rptr;
  assign empty = rlevel == '0;
  assign almost_empty = rlevel <= pointer_t'(ALMOST);
  assign rdata = mem[rptr[AW-1:0]];

  always_ff @(posedge rclk or negedge rrst_n) begin
    if (!rrst_n) begin
      rptr  <= '0;
      rcode <= '0;
    end else if (pop && !empty) begin
      rptr  <= rptr + 1'b1;
      rcode <= encode(rptr + 1'b1);
    end
  end
endmodule
