//! Every way a call can fail, as data; the sentence is built only when somebody reads it.
