//! ResNets, projection and supervised heads of SimCLRv2 on candle
