//! CRC-32 as zlib has it, eight bytes at a time.
//!
//! Format: RFC 1952, section 8; the way: Kounavis and Berry, "Novel Table Lookup-Based Algorithms for High-Performance CRC
//! Generation".

const TABLES: [[u32; 256]; 8] = tables();

#[allow(clippy::indexing_slicing)]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut ahead = 1;
    while ahead < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[ahead - 1][byte];
            tables[ahead][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        ahead += 1;
    }
    tables
}

pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = word.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes)) ^ u64::from(crc);
        crc = 0;
        for (table, byte) in TABLES.iter().rev().zip(word.to_le_bytes()) {
            crc ^= looked_up(table, byte);
        }
    }
    for byte in words.remainder() {
        crc = crc >> 8 ^ looked_up(&TABLES_FIRST, (crc as u8) ^ byte);
    }
    !crc
}

const TABLES_FIRST: [u32; 256] = tables_first();

#[allow(clippy::indexing_slicing)]
const fn tables_first() -> [u32; 256] {
    TABLES[0]
}

#[inline(always)]
fn looked_up(table: &[u32; 256], byte: u8) -> u32 {
    table.get(usize::from(byte)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zlibs() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
    }
}
